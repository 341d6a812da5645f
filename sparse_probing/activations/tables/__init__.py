"""Result tables of stage 1 and the folders that hold them."""
