"""The commands of the operator, one group a file."""
