//! Doubly linked lists through links inside the elements: no allocation, removal in one step.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// A shared reference without a lifetime, for lists whose elements outlive their membership.
pub struct Entry<T>(NonNull<T>);

impl<T> Entry<T> {
    /// # Safety
    ///
    /// `*element` must stay where it is and alive as long as this or a copy of it is used or in a
    /// list. Its links must be used by one CPU at a time (under the list's lock), and it must be
    /// taken out of a list through that list.
    pub const unsafe fn new(element: NonNull<T>) -> Self {
        Self(element)
    }

    /// Where the element is.
    pub const fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Entry<T> {}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Entry<T> {}

impl<T> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: alive and in place, by `new`; all its users only share it.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: it is a `&T`, which can be sent if `T` is `Sync`.
unsafe impl<T: Sync> Send for Entry<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Entry<T> {}

/// An element's place in a list.
pub struct Link<T> {
    prev: Cell<Option<Entry<T>>>,
    next: Cell<Option<Entry<T>>>,
    linked: Cell<bool>,
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Link<T> {
    /// In no list.
    pub const fn new() -> Self {
        Self {
            prev: Cell::new(None),
            next: Cell::new(None),
            linked: Cell::new(false),
        }
    }

    /// Whether it is in a list.
    #[inline]
    pub fn is_linked(&self) -> bool {
        self.linked.get()
    }
}

/// Has a link for lists of kind `K`.
///
/// # Safety
///
/// It must always be the same link, one that is a part of the element and is used for nothing else.
pub unsafe trait Linked<K>: Sized {
    /// The link.
    fn link(&self) -> &Link<Self>;
}

/// A list. An element is in one list of a kind at a time.
pub struct List<T, K> {
    head: Option<Entry<T>>,
    tail: Option<Entry<T>>,
    kind: PhantomData<fn() -> K>,
}

impl<T, K> fmt::Debug for List<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").finish_non_exhaustive()
    }
}

impl<T: Linked<K>, K> Default for List<T, K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Linked<K>, K> List<T, K> {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            head: None,
            tail: None,
            kind: PhantomData,
        }
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<Entry<T>> {
        self.head
    }

    /// The element behind this one.
    #[inline]
    pub fn after(&self, element: Entry<T>) -> Option<Entry<T>> {
        element.link().next.get()
    }

    /// Adds an element at the front. One that is in a list already stays there.
    pub fn push_front(&mut self, element: Entry<T>) {
        self.insert_before(self.head, element);
    }

    /// Adds an element at the end. One that is in a list already stays there.
    pub fn push_back(&mut self, element: Entry<T>) {
        self.insert_before(None, element);
    }

    /// Adds an element in front of `next`, an element of this list, or at the end. One that is in
    /// a list already stays there.
    pub fn insert_before(&mut self, next: Option<Entry<T>>, element: Entry<T>) {
        let link = element.link();
        if link.linked.replace(true) {
            return;
        }
        let prev = match next {
            Some(next) => next.link().prev.replace(Some(element)),
            None => self.tail.replace(element),
        };
        match prev {
            Some(prev) => prev.link().next.set(Some(element)),
            None => self.head = Some(element),
        }
        link.prev.set(prev);
        link.next.set(next);
    }

    /// Takes the first element.
    pub fn pop_front(&mut self) -> Option<Entry<T>> {
        let first = self.head?;
        self.remove(first);
        Some(first)
    }

    /// Takes an element out, which must be in this list or in none.
    pub fn remove(&mut self, element: Entry<T>) {
        let link = element.link();
        if !link.linked.replace(false) {
            return;
        }
        let (prev, next) = (link.prev.take(), link.next.take());
        match prev {
            Some(prev) => prev.link().next.set(next),
            None => self.head = next,
        }
        match next {
            Some(next) => next.link().prev.set(prev),
            None => self.tail = prev,
        }
    }
}
