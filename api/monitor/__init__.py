"""What people see of sites, peers and messages, who may see it, and what would be if."""
