"""One pin at a time is given another value: does the stripped package follow the legacy, or at least say that it cannot?"""
