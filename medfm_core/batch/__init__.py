"""Many scans: each gets its folder of results, all of them a cohort table; what is finished is not done again.

`find_cases` lists the scans, `Batch.run` does them in a process of their own (`medfm_core.worker`), so that a scan that
crashes it costs no other, and `cohort.csv` is written anew after each. No torch here.
"""
