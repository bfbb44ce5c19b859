"""The release: the job, its gate and policy, the two folders and what checks them afterwards."""
