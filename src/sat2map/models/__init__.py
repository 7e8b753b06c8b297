"""Networks: generators and discriminators, built by name from plain numbers."""
