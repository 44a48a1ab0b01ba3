"""Who runs what next: claims work, hands it to a provider, records what it says and how it ends."""
