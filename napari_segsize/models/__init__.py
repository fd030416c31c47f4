"""Networks. Each file opens with the paper it implements."""
