"""What this server shows of itself when it speaks TLS: an operator's files, or a local certificate of our making."""
