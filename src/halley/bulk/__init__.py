"""Actions on many predictions: the set is fixed when the action is made, and it is carried out in the background."""
