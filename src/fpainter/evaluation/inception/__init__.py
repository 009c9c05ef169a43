"""The feature network of 2015 and its published weights."""
