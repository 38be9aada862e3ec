"""The declarative file: what an organisation shall be, what differs, and making it so."""
