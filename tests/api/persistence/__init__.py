"""What is stored, and that it is: on SQLite and on PostgreSQL."""
