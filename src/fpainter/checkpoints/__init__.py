"""Reading painters back from the files that training wrote."""
