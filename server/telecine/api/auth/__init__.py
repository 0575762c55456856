"""Who calls: API keys, access tokens, and what each caller may do."""
