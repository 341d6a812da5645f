"""What a run of reading probes leaves beside its rows: the chosen layer, files of probes, summary, figures, transfer."""
