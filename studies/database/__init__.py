"""What several workers share in one database: the trials and who has taken them, the workers, and how to steer them."""
