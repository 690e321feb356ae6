"""How sharp the goldens are: small changes of the stripped algorithm, each of which some workload must notice."""
