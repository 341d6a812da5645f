"""L1-regularised logistic and regression probes along a path of penalty strengths."""
