"""What operators ask and do, by the commands as they are typed."""
