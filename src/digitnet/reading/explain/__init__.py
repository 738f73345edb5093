"""Why a picture was read as it was, as words and numbers; ``showing.explanation_page`` draws them.

words      a prediction in words
evidence   what the page shows, as numbers: occlusion map, nearest training digits
"""
