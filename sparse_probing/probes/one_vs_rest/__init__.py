"""One-vs-rest logistic probes of all neurons of a layer: to the optimum, by Adam, and in closed form."""
