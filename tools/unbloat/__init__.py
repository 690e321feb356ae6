"""Strip a legacy PyTorch package to the code that its workloads need, and prove that nothing else changed."""
