"""How well diseases are told from whatever organs are left: scenarios, models, baselines, one table."""
