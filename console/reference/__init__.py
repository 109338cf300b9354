"""Files for operators that are made from the models, so that they cannot differ from them."""
