"""Plain functions over artifacts: score, prune, recover, evaluate, and the jobs made of them."""
