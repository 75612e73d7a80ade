"""Weights from the Hugging Face Hub: fetched once, verified, kept in one folder of the user, and usable offline.

`pull_card` fetches what a card names, `import_card` takes it from a file or a folder, `remove_card` deletes it. What
lies in the cache is looked up by `ModelCard.root` and opens no connection.
"""
