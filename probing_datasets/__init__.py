"""Feature data sets: tokens with labels, one file per feature collection."""

from probing_datasets.foundation.settings import let_waiting_threads_sleep

let_waiting_threads_sleep()
