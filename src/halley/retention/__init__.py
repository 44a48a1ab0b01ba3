"""How long the data of finished predictions is kept, and its removal when the time is over."""
