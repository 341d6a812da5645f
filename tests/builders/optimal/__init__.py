"""Problems, references and proof logs for the tests of optimal sparse probes."""
