"""How true a world model is: errors by horizon, action sensitivity, outcomes told truly, distances of features."""
