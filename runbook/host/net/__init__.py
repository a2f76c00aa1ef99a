"""What leaves by the network: HTTP, packets, mail."""
