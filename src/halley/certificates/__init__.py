"""The certificate of this server: an operator's files, or a local certificate that Halley makes."""
