"""What a session is: neither the web nor SQL is known here."""
