"""What the peers' own Python runs: each measures or tunes as its users do, and prints one line of JSON at the end."""
