"""What `accredit login` does on the machine of whoever logs in."""
