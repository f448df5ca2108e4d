//! A file that ends between any two writes has every unit as it was, or as it became.
