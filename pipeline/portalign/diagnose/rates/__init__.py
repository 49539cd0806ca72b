"""What can be said of a learning rate curve: its schedule, its arguments, and how it is stepped."""
