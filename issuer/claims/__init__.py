"""What tokens say, as typed frozen values."""
