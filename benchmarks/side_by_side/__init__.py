"""What every benchmark needs: the clock, the machine's limit, the texts, and the peers."""
