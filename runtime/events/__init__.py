"""Events as messages for whoever is bound: in which form each goes, and several of one routing in one message."""
