"""What is looked at: the HTML page, charts, pictures and their colours."""
