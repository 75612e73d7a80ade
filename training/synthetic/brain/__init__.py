"""Virtual heads: T1w, T2w and FLAIR of one anatomy, healthy or with lesions, all of whose truth is known."""
