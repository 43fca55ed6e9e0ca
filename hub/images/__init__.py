"""Container images: which there are, how each is made, and what has been made."""
