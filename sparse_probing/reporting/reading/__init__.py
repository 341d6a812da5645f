"""What a run of reading probes leaves beside its rows: probes, summary, figures, transfer."""
