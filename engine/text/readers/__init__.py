"""One reader a format: each turns an open text file into documents and reports what it could not place."""
