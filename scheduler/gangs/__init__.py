"""Sources of gangs, one file each: from Kubernetes objects to `Gang` values."""
