//! Offers and answers as phones make them.
