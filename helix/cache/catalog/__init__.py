"""What a cache holds, by index: counting, listing and removing entries by what they say of themselves; quotas."""
